"""Networks and data that come with the project."""
