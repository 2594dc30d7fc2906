"""Image files without their metadata, their coded pixels as they are."""
