"""``python -m tune``: the same as the command ``audition``."""

from tune.cli import main

if __name__ == "__main__":
    main()
