"""Set-up and test tools of the checkout; never part of the installed package."""
