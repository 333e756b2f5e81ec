"""Other people's files of StackGAN weights."""
