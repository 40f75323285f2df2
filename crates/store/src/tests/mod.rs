mod local;
mod places;
mod probe;
mod s3;
