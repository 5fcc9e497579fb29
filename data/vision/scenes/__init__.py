"""Scenes of spheres, boxes and cylinders, drawn by casting one ray for each sample of a pixel.

`raycast.py` draws, `tabletop.py` counts objects and measures their distance as CLEVR does, `toys.py` turns toys of five
kinds as SmallNORB does. Everything comes from seeds; nothing is downloaded.
"""
