"""Checks for plugin authors: plain functions that built-in and outside plugins both pass."""
