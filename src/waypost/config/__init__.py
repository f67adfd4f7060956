"""The shape of waypost.yaml: read strictly, every error at once, with file, line and path."""
