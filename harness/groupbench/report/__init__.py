"""What a leaderboard and a run look like: terminal, Markdown, JSON, progress."""
