"""``python -m groupbench``."""

from groupbench.cli import main

if __name__ == "__main__":
    main(prog_name="groupbench")
