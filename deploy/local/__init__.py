"""The real stack on one machine: private servers in one folder, started and stopped by `manage.py stack`."""
