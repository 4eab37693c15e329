//! The surface a running gateway serves now.

use std::sync::Arc;

use arc_swap::ArcSwap;

use super::Surface;

/// The current surface; cheap to clone, all clones see a change. A request keeps the surface it began with.
#[derive(Clone)]
pub struct SurfaceHandle(Arc<ArcSwap<Surface>>);

impl SurfaceHandle {
    /// A handle of this surface.
    pub fn new(surface: Surface) -> Self {
        Self::from(Arc::new(surface))
    }

    /// The surface that new requests get.
    pub fn load(&self) -> Arc<Surface> {
        self.0.load_full()
    }

    /// Serves another surface from the next request on.
    pub fn swap(&self, surface: Surface) {
        self.0.store(Arc::new(surface));
    }
}

impl From<Arc<Surface>> for SurfaceHandle {
    fn from(surface: Arc<Surface>) -> Self {
        Self(Arc::new(ArcSwap::new(surface)))
    }
}

impl From<Surface> for SurfaceHandle {
    fn from(surface: Surface) -> Self {
        Self::new(surface)
    }
}
