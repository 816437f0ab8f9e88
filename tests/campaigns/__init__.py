"""Long runs that look for silent errors: ``python -m tests.campaigns --help``."""
