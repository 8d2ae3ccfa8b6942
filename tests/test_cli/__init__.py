"""The command line as people and programs use it; commands that stay run in processes of their own."""
