"""What `correct_files` needs before it writes."""
