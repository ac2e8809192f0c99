"""A web page that runs a portable file in the browser with LiteRT.js."""
