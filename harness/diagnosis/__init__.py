"""What a failing check is asked next: where its value goes wrong, a script that shows it."""
