mod local;
mod places;
