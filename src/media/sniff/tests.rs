//! What the sniffers say of files made here.
