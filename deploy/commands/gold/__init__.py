"""Human labels: take them in, and judge the teacher and a student by them."""
