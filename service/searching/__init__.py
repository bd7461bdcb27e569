"""What a server does for searches: it takes them in, tells of them, and runs their workers."""
