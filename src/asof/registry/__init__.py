"""What is registered: definitions, and the commit log that says what is visible."""
