//! Part files: bytes on their way in, in the hidden folder of the music disk, each under a row of the journal.
//! At the start they are held against the journal.
