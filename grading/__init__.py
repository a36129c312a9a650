"""What an instructor runs: lab releases, the sandbox, the autograder and the demo class."""
