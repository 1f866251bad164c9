"""What the families give, in NumPy float64, written from the papers and apart from `gst_listen_export`: the tests' other side.

Nothing here imports PyTorch or the exporter; loops are preferred to speed.
"""
