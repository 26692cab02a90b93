"""Where pictures come from: one file per frame source, and the camera that joins a source with trigger and health."""
