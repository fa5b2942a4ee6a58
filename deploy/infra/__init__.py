"""What Millrace runs on: the broker, one machine's processes, the board and the alerts."""
