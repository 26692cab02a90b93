"""From pixels to a score and a defect map: preprocessing, the ONNX session, bundles and what is read out of the map."""
