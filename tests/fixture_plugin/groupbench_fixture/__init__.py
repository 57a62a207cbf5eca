"""A plugin for tests: a runner that counts its fits and fails, waits or dies as it is told."""
