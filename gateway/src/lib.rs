//! x


pub mod bind;
pub mod percent;
pub mod router;
pub mod template;
pub mod codec;
pub mod profile;
