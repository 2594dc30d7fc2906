"""What happens to one batch of images: read, decoded, searched, hidden, encoded."""
