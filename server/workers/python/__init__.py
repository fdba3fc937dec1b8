"""Models of scikit-learn and what looks like it (.joblib, .pkl, .skops), and ONNX graphs."""
