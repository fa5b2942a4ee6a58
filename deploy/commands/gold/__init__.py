"""Human labels: store them, and judge the teacher and a student by them."""
