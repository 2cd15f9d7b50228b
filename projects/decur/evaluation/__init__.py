"""Set-wide metrics and scores."""
