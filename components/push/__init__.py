"""The push to the folder that servers watch."""
