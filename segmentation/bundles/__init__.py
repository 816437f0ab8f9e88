"""Networks in MONAI bundles: what a folder holds, whether to trust it, and how it runs."""
