import "uplot/dist/uPlot.min.css";
import "../css/base.css";
import "../css/frame.css";
import "../css/table.css";
import "../css/views.css";
import { render } from "preact";
import { App } from "./app.jsx";
import { start } from "./store.js";

render(<App />, document.getElementById("app"));
start();
