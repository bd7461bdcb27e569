"""The commands that talk to a server, one file for each."""
