"""What several benchmarks use: the clock and the result record, images and boxes, the work of whole jobs, accuracy."""
