//! Parts of the stage without a server.
