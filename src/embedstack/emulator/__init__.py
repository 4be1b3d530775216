"""RunPod on this machine: requests of its clients and of its workers in, what RunPod would answer out."""
