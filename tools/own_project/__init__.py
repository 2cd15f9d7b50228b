"""A project for one's own folders (``decur init``): what they hold, what is proposed, and the files that train on them."""
