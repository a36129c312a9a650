"""Pictures beside the labs' texts, drawn by code: what they show is computed, and a test proves them current."""
