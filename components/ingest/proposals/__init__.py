"""Regions of a picture in which an object may be, found without knowing any class."""
