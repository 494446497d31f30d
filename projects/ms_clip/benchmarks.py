"""What MS-CLIP adds to evaluation."""
