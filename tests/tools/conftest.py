"""What a tool is made of is found as the tool finds it."""
import sys

from helpers import ROOT

sys.path.insert(0, str(ROOT / 'tools'))
