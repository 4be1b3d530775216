"""`python -m embedstack` is the `embedstack` command."""

from embedstack.cli import main

if __name__ == "__main__":
    main()
