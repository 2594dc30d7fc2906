"""The networks: each file has one, with its anchors and how its outputs become boxes."""
