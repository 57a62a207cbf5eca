"""What authors begin with, and what finds their mistakes: of plugins and of task cards."""
