"""What puts the application on machines: configuration of the servers around it, and a stack on one machine."""
