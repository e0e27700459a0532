"""What runs the project or stands in for what it talks to; nothing here is imported by `worker`."""
